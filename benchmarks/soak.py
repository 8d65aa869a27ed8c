"""Lines at a rate to a stream that is killed now and then: nothing is lost or doubled, and memory stays flat.

    python benchmarks/soak.py                # ten minutes at 300 lines a second
    python benchmarks/soak.py --seconds 180

The source sends each line until it is answered. In the last third nothing is killed, and memory is measured. Then an
uninterrupted stream reads the same lines; both must have written the same tables.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from stream import TINY, lines, process

TABLES = ("bars.csv", "predictions.csv", "equity.csv", "trades.csv", "features.npy", "outputs.npy")


class Source:
    """Sends lines when they are due, and counts the answers.

    Attributes
    ----------
    answered : answers so far; one that comes twice or out of order is an error
    most_late_s : longest time from a line's due time to its answer while nothing was killed
    memory_mb : while nothing was killed, (answers so far, resident memory)
    """

    def __init__(self, count: int, rate: float) -> None:
        self._lines, self._rate = list(lines(count)), rate
        self._begun = time.monotonic()
        self.answered = self.most_late_s = 0
        self.memory_mb: list[tuple[int, float]] = []

    def feed(self, folder: Path, strategy: Path, device: str, kill_after: float | None) -> None:
        """Feed a stream from the first line without an answer; kill it so many seconds later, if ever."""
        more = ["--tell-from", str(self.answered)] if folder.exists() else []
        ran = process(folder, device, strategy, *more)
        if kill_after is not None:
            killer = threading.Timer(kill_after, ran.kill)
            killer.start()
        threading.Thread(target=self._write, args=(ran, self.answered), daemon=True).start()
        for line in ran.stdout:
            if not line.endswith(b"\n"):  # cut off by the kill
                break
            answer = json.loads(line)
            if "ignored" not in answer:  # it was stored and told before the line came again
                assert answer["bar"] == self.answered, (answer, self.answered)
                self.answered += 1
                if kill_after is None:
                    self._measure(ran)
        ran.stdout.close()
        assert ran.wait() == (0 if kill_after is None else -9)

    def _write(self, ran: subprocess.Popen[bytes], first: int) -> None:
        with suppress(OSError):  # it was killed
            for number in range(first, len(self._lines)):
                time.sleep(max(0.0, self._begun + number / self._rate - time.monotonic()))
                ran.stdin.write(self._lines[number])
                ran.stdin.flush()
            ran.stdin.close()

    def _measure(self, ran: subprocess.Popen[bytes]) -> None:
        if self.answered % 1000 == 0:
            status = Path(f"/proc/{ran.pid}/status").read_text()
            memory = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS"))
            self.memory_mb.append((self.answered, memory / 1024))
            late = time.monotonic() - self._begun - self.answered / self._rate
            self.most_late_s = max(self.most_late_s, late)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=300, help="lines a second")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    chance, kills = random.Random(5), 0
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        (here / "tiny.py").write_text(TINY)
        begun, source = time.monotonic(), Source(int(asked.seconds * asked.rate), asked.rate)
        while time.monotonic() - begun < 2 / 3 * asked.seconds:
            source.feed(here / "killed", here / "tiny.py", asked.device, chance.uniform(1, 20))
            kills += 1
        source.feed(here / "killed", here / "tiny.py", asked.device, None)
        wall_s = time.monotonic() - begun
        with (here / "lines.csv").open("wb") as file:
            file.writelines(source._lines)
        with (here / "lines.csv").open("rb") as file:
            whole = process(
                here / "whole", asked.device, here / "tiny.py", stdin=file, stdout=subprocess.DEVNULL
            )
            assert whole.wait() == 0
        different = [
            n for n in TABLES if (here / "killed" / n).read_bytes() != (here / "whole" / n).read_bytes()
        ]
    memory = [mb for _, mb in source.memory_mb[len(source.memory_mb) // 4 :]]  # after the start
    print(
        json.dumps(
            {
                "lines": int(asked.seconds * asked.rate),
                "answered_once": source.answered,
                "kills": kills,
                "wall_s": wall_s,
                "late_s": source.most_late_s,
                "memory_mb": [min(memory), max(memory)],
                "tables_that_differ": different,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
