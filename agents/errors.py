"""What a user can mend: errors that end a command with one line and exit code 2, not with a traceback."""

from __future__ import annotations


def sentence(error: BaseException) -> str | None:
    """Line to show for an error that the user can mend; None where it is ours.

    The modules are imported here, when something went wrong, so that commands start quickly.

    Examples
    --------
    >>> from agents.settings import SettingsError
    >>> sentence(SettingsError("gap: write a duration")), sentence(KeyError("gap"))
    ('gap: write a duration', None)
    """
    from agents.adapting import AdaptError
    from agents.board import BoardError
    from agents.broker import BrokerError
    from agents.contracts import ContractError
    from agents.notes import NoteError
    from agents.publisher import PublishError
    from agents.replaying import OutputError
    from agents.settings import SettingsError
    from agents.topics import TopicError
    from streams.event_files import EventFileError
    from streams.shop import PlanError

    ours = (
        SettingsError, TopicError, PublishError, NoteError, OutputError, BrokerError, EventFileError, PlanError,
        BoardError, AdaptError, ContractError,
    )  # fmt: skip
    if not isinstance(error, ours):
        return None
    return " ".join(str(error).split())
