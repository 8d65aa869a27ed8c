"""Bars from one Redis stream, answers to another: each answer exactly once, whichever side is killed.

    python examples/redis_bridge.py --folder live --url redis://127.0.0.1:6379 -- --device auto

Entries of ``bars`` have one field, ``line``: a line of `bt-neuro stream`. An answer is added to ``answers`` under the
id ``1-<bar + 1>``, of several instruments (``-- --symbols A,B``) ``1-<row + 1>``. Redis takes an id once and in order,
so that an answer told twice is there once. An entry is acknowledged after its answer is there. Needs the package redis.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import redis

BARS, ANSWERS, GROUP, CONSUMER = "bars", "answers", "bt-neuro", "bridge"


def number_of(answer: dict) -> int | None:
    """Return the number of an answer, None for one to a line that was no new bar."""
    return answer.get("row", answer.get("bar"))


def add_answer(server: redis.Redis, answer: dict) -> None:
    """Add an answer, unless it is there already."""
    try:
        server.xadd(ANSWERS, {"answer": json.dumps(answer)}, id=f"1-{number_of(answer) + 1}")
    except redis.ResponseError as error:
        if "equal or smaller" not in str(error):
            raise


def next_bar(server: redis.Redis) -> int:
    """Return the first bar without an answer."""
    last = server.xrevrange(ANSWERS, count=1)
    return int(last[0][0].decode().split("-")[1]) if last else 0


def bridge(server: redis.Redis, folder: Path, options: list[str], most: int | None = None) -> None:
    """Pass bars to a stream and answers back, until `most` entries were acknowledged."""
    try:
        server.xgroup_create(BARS, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    words = ["--resume", folder, "--tell-from", next_bar(server)] if folder.exists() else ["--out", folder]
    command = [sys.executable, "-m", "bt_neuro", "stream", *map(str, words), *options]
    stream = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = []
    for line in stream.stderr:  # a note that bars pass again may come first
        said.append(line.decode())
        if said[-1].startswith('{"event": "ready"'):
            break
    else:
        raise SystemExit(f"the stream did not start: {''.join(said)}")
    ready = json.loads(said[-1])
    for _ in range(ready["told"]):
        add_answer(server, json.loads(stream.stdout.readline()))
    start, done = "0", 0  # first the entries that were read and not acknowledged, then new ones
    while most is None or done < most:
        ((_, entries),) = server.xreadgroup(GROUP, CONSUMER, {BARS: start}, count=1, block=1000) or [
            (BARS, [])
        ]
        if not entries:
            start = ">"
        for entry, fields in entries:
            stream.stdin.write(fields[b"line"] + b"\n")
            stream.stdin.flush()
            answer = json.loads(stream.stdout.readline())
            if number_of(answer) is not None:
                add_answer(server, answer)
            server.xack(BARS, GROUP, entry)
            done += 1
    stream.stdin.close()
    stream.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("live"))
    parser.add_argument("--url", default="redis://127.0.0.1:6379")
    parser.add_argument("options", nargs="*", help="options of bt-neuro stream, after --")
    asked = parser.parse_args()
    bridge(redis.Redis.from_url(asked.url), asked.folder, asked.options)


if __name__ == "__main__":
    main()
