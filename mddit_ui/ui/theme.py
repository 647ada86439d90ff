"""How the page looks: Gradio's theme and the style sheet, both made from the tokens of charts.style."""

from pathlib import Path

import gradio as gr

from mddit_ui.charts import style

_CSS = Path(__file__).parent / "static" / "app.css"


def variables(palette: style.Palette) -> str:
    """The palette as CSS custom properties: ``--m-ink-soft: #454d5e; ...``."""
    pairs = palette._asdict().items()
    return " ".join(f"--m-{k.replace('_', '-')}: {v if isinstance(v, str) else ' '.join(v)};" for k, v in pairs)


def css() -> str:
    fonts = f"--m-font: {style.FONT}; --m-mono: {style.MONO};"
    light = f":root {{ {fonts} {variables(style.LIGHT)} color-scheme: light; }}"
    dark = f"body.dark, .dark {{ {variables(style.DARK)} color-scheme: dark; }}"
    return f"{light}\n{dark}\n{_CSS.read_text()}"


def theme() -> gr.themes.Base:
    """Flat surfaces, hairlines, one accent; every colour is a variable of the style sheet."""
    names = [name.strip().strip('"') for name in style.FONT.split(",")]
    mono = [name.strip().strip('"') for name in style.MONO.split(",")]
    base = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="md",
        text_size="md",
        spacing_size="md",
        font=names,
        font_mono=mono,
    )
    both = {
        "body_background_fill": "var(--m-page)",
        "body_text_color": "var(--m-ink)",
        "body_text_color_subdued": "var(--m-ink-faint)",
        "background_fill_primary": "var(--m-surface)",
        "background_fill_secondary": "var(--m-sunken)",
        "border_color_primary": "var(--m-line)",
        "border_color_accent": "var(--m-compute)",
        "color_accent_soft": "var(--m-sunken)",
        "link_text_color": "var(--m-compute)",
        "block_background_fill": "transparent",
        "block_border_width": "0px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "block_label_text_color": "var(--m-ink-soft)",
        "block_title_text_color": "var(--m-ink-soft)",
        "block_info_text_color": "var(--m-ink-faint)",
        "panel_background_fill": "transparent",
        "input_background_fill": "var(--m-surface)",
        "input_background_fill_focus": "var(--m-surface)",
        "input_border_color": "var(--m-line-strong)",
        "input_border_color_focus": "var(--m-compute)",
        "input_placeholder_color": "var(--m-ink-faint)",
        "input_shadow": "none",
        "input_shadow_focus": "none",
        "button_primary_background_fill": "var(--m-compute)",
        "button_primary_background_fill_hover": "color-mix(in srgb, var(--m-compute) 88%, var(--m-ink))",
        "button_primary_text_color": "var(--m-compute-ink)",
        "button_primary_border_color": "var(--m-compute)",
        "button_secondary_background_fill": "var(--m-surface)",
        "button_secondary_background_fill_hover": "var(--m-sunken)",
        "button_secondary_text_color": "var(--m-ink)",
        "button_secondary_border_color": "var(--m-line-strong)",
        "button_cancel_background_fill": "var(--m-surface)",
        "button_cancel_text_color": "var(--m-bad)",
        "button_cancel_border_color": "var(--m-line-strong)",
        "checkbox_label_background_fill": "var(--m-surface)",
        "checkbox_label_background_fill_hover": "var(--m-sunken)",
        "checkbox_label_background_fill_selected": "var(--m-sunken)",
        "checkbox_label_text_color": "var(--m-ink-soft)",
        "checkbox_label_text_color_selected": "var(--m-ink)",
        "checkbox_label_border_color": "var(--m-line-strong)",
        "checkbox_background_color": "var(--m-surface)",
        "checkbox_background_color_selected": "var(--m-compute)",
        "checkbox_border_color": "var(--m-line-strong)",
        "checkbox_border_color_selected": "var(--m-compute)",
        "slider_color": "var(--m-compute)",
        "table_border_color": "var(--m-line)",
        "table_even_background_fill": "var(--m-surface)",
        "table_odd_background_fill": "var(--m-surface)",
        "table_text_color": "var(--m-ink)",
        "loader_color": "var(--m-compute)",
        "error_background_fill": "var(--m-surface)",
    }
    return base.set(**_for_light_and_dark(both))


def _for_light_and_dark(values: dict[str, str]) -> dict[str, str]:
    """The variables change with the mode, so both modes of Gradio's theme name the same ones, where it has two."""
    known = gr.themes.Base.set.__code__.co_varnames
    wanted = {**values, **{f"{name}_dark": value for name, value in values.items()}}
    return {name: value for name, value in wanted.items() if name in known}
