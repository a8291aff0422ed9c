"""Where real data lies: small extracts in the repository, the full files beside it where they are."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXTRACTS = REPOSITORY / "tests" / "data"
FULL = REPOSITORY.parent / "shared" / "data"

APACHE_EXTRACT = EXTRACTS / "apache_access.log"
OTTO_EXTRACT = EXTRACTS / "otto_sessions.jsonl"
APACHE_LOGS = FULL / "apache_logs.gz"
OTTO_SAMPLE = FULL / "otto_sample.jsonl"


def needs(path: Path) -> pytest.MarkDecorator:
    """Skip a test where the full file is not there; the extracts are tried everywhere."""
    return pytest.mark.skipif(
        not path.exists(), reason=f"needs the full file {path.name} beside the repository"
    )
