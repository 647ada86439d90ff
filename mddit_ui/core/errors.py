"""The errors that people see: each says what was expected, what came, and what to do."""


class MdditError(Exception):
    """Base of every error whose message may be shown to a person as it is."""


class PolicyError(MdditError):
    """A policy (or a policy file) that can't be used."""


class ConfigError(MdditError):
    """A setting outside its bounds."""


class ModelError(MdditError):
    """A model that can't be found, loaded or hooked."""


class NotFiniteError(ModelError):
    """A run whose latents are not finite numbers; a search counts that policy as worst."""


class StoreError(MdditError):
    """Something that should be in the store is missing or damaged."""


class SearchError(MdditError):
    """A search that can't be started or continued."""


class Cancelled(MdditError):
    """The person asked to stop; nothing went wrong."""
