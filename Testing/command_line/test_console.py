"""Progress bars, signals, and what libraries write to stderr."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from DiffuseMorphCore.command_line.console import ProgressBar, signals_noted, stopped_by_signals


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_with_stage_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar() as progress:
        progress("align", 0.0)
        progress("align", 1.0)
        progress("refine", 0.5)
        progress._bar.refresh()
    text = terminal.getvalue()
    assert "align" in text and "refine" in text and " 50%" in text and "left" in text
    assert text.rstrip(" ").endswith("\r")


def test_progress_is_silent_where_there_is_no_terminal(capsys):
    with ProgressBar() as progress:
        assert progress("align", 0.3) is None
        progress("refine", 1.0)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_block_once(number):
    before = signal.getsignal(number)
    cleaned = False
    with pytest.raises(KeyboardInterrupt):
        with stopped_by_signals():
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                os.kill(os.getpid(), number)  # an impatient second signal must not disturb the cleaning up
                cleaned = True
    assert cleaned and signal.getsignal(number) is before


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_the_first_signal_is_noted_and_the_second_stops():
    with pytest.raises(KeyboardInterrupt):
        with stopped_by_signals(), signals_noted() as noted:
            os.kill(os.getpid(), signal.SIGTERM)
            assert noted == [signal.SIGTERM]
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()


def test_messages_of_libraries_are_hidden_and_those_of_python_are_not():
    code = (
        "import os, sys\nfrom DiffuseMorphCore.command_line.console import library_messages_hidden\n"
        "with library_messages_hidden():\n    os.write(2, b'library\\n')\n    print('python', file=sys.stderr)\n"
        "os.write(2, b'afterwards\\n')\nprint('last', file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.split() == ["python", "afterwards", "last"]
