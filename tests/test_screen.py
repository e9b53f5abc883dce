"""What the command line says beside its results."""

import pytest

from lvunet.screen import progress


def test_a_bar_leaves_not_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("segmenting", 2) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
