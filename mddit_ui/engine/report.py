"""What an applied policy did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SiteReport:
    """One column: what it is, which arguments its outputs continue, and how often it did what."""

    name: str
    block_class: str
    streams: str
    skipped: int
    cached: int
    computed: int


@dataclass(frozen=True)
class Report:
    """The last run of an applied policy.

    Args:
        transformer: class name; policy: its name and size.
        sites: one for each column.
        steps: model evaluations so far; calls: calls of the transformer; slots: the calls that make up one step.
        filled: CACHE cells that had nothing to reuse (a run that began late) and were computed.
        macs: of the run, all images, guidance counted; full_macs: of the same calls untouched.
        peak_cache_bytes: most bytes of residuals held at one time; predicted_cache_bytes: what the plan said.
        seconds: inside the transformer.
    """

    transformer: str
    policy: str
    sites: tuple[SiteReport, ...]
    steps: int
    calls: int
    slots: tuple[str, ...]
    filled: int
    macs: float
    full_macs: float
    peak_cache_bytes: int
    predicted_cache_bytes: int
    seconds: float

    def __str__(self) -> str:
        share = f" ({self.macs / self.full_macs:.1%} of full)" if self.full_macs else ""
        head = (
            f"{self.policy} on {self.transformer}: {self.steps} steps, {self.calls} calls, "
            f"{self.macs / 1e9:.3f} GMACs{share}, cache {self.peak_cache_bytes:,} bytes at the most "
            f"({self.predicted_cache_bytes:,} planned), {self.seconds:.2f} s"
        )
        width = max((len(site.name) for site in self.sites), default=0)
        rows = [
            f"  {site.name:{width}}  compute {site.computed:3}  cache {site.cached:3}  skip {site.skipped:3}  "
            f"{site.block_class} -> {site.streams}"
            for site in self.sites
        ]
        return "\n".join([head, *rows])
