"""Units: point, scale and spread; instruments of a file of several; clocks that change."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from bar_layouts import LAYOUTS, assert_same_bars, frame_of, save, walk

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError

HEAD = "time,open,high,low,close,volume"


def with_column(name: str, cells: list[str]) -> str:
    rows = LAYOUTS["pandas"].rows(walk(len(cells)))
    return (
        "\n".join([f"{HEAD},{name}", *(f"{row},{cell}" for row, cell in zip(rows, cells, strict=True))])
        + "\n"
    )


@pytest.mark.parametrize(
    ("name", "cell", "factor", "unit"),
    [
        ("spread", "7", 1, "points"),
        ("spread", "0.00012", 1e5, "price"),
        ("spread", "0.0001234", 1e5, "price"),
        ("Spread", "1.2", 10, "pips"),
        ("Spread (pips)", "2", 10, "pips"),
        ("spread_points", "12", 1, "points"),
        ("Spread High-Low", "0.0012", 0, ""),
    ],
)
def test_spreads_become_points(tmp_path: Path, name: str, cell: str, factor: float, unit: str) -> None:
    bars = read_bars(save(tmp_path, with_column(name, [cell] * 60)))
    assert bars.spread_unit == unit
    if not unit:
        assert "spread" not in bars.frame
        return
    np.testing.assert_allclose(bars.frame["spread"], float(cell) * factor)
    assert any(f"The spread is written in {unit}" in note for note in bars.notes) == (unit != "points")


@pytest.mark.parametrize(("zeros", "noted"), [(3, False), (12, True), (60, True)])
def test_spreads_of_0_are_noted(tmp_path: Path, zeros: int, noted: bool) -> None:
    bars = read_bars(save(tmp_path, with_column("spread", ["0"] * zeros + ["7"] * (60 - zeros))))
    assert any("The spread is 0 in" in note for note in bars.notes) == noted


@pytest.mark.parametrize("close", ["1.2345001", "1.2344999", "1.23450005"])
def test_noise_of_floats_is_no_decimal(tmp_path: Path, close: str) -> None:
    rows = [f"2024-01-{day},1.23,1.24,1.22,{close},7" for day in range(10, 30)]
    bars = read_bars(save(tmp_path, "\n".join(["time,open,high,low,close,spread", *rows])))
    assert bars.point == pytest.approx(1e-4)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_point_of_tiny_prices_is_as_fine_as_their_steps(tmp_path: Path, kind: str) -> None:
    frame, prices, path = frame_of(walk(200)), ["open", "high", "low", "close"], tmp_path / "bars.parquet"
    tiny = (frame[prices] * 1e-8).round(12)
    frame.assign(**tiny.astype(kind)).to_parquet(path)
    bars = read_bars(path)
    assert bars.point == pytest.approx(1e-12)
    np.testing.assert_array_equal(bars.frame[prices], tiny)


def test_point_overrules_the_prices(tmp_path: Path) -> None:
    bars = read_bars(save(tmp_path, with_column("spread", ["0.0012"] * 60)), point=1e-4)
    assert (bars.point, bars.frame["spread"].iloc[0]) == (1e-4, 12)


def test_scale_divides_exactly(tmp_path: Path) -> None:
    rows = [f"{b.time},{b.open},{b.high},{b.low},{b.close},{b.volume}" for b in walk()]
    path = save(tmp_path, "\n".join([HEAD, *rows]) + "\n", "EURUSD_H1.csv")
    assert any("if they are scaled, give --scale" in note for note in read_bars(path).notes)
    bars = read_bars(path, scale=1e-5)
    assert_same_bars(bars, frame_of(walk()))
    assert bars.point == pytest.approx(1e-5)


@pytest.mark.parametrize("option", ["point", "scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_options_must_be_positive(tmp_path: Path, option: str, value: float) -> None:
    with pytest.raises(BarsError, match=rf"--{option} must be above 0"):
        read_bars(save(tmp_path, LAYOUTS["pandas"].write(walk())), **{option: value})


class TestInstruments:
    def rows(self, column: str) -> str:
        """Two instruments in one file, of which `column` is the name of theirs."""
        own, other = walk(), walk(start=datetime(2024, 3, 4))
        other = [type(b)(b.time, 2 * b.open, 2 * b.high, 2 * b.low, 2 * b.close, b.volume) for b in other]
        lines = [f"{row},EURUSD" for row in LAYOUTS["pandas"].rows(own)]
        lines += [f"{row},GBPUSD" for row in LAYOUTS["pandas"].rows(other)]
        return "\n".join([f"{HEAD},{column}", *lines]) + "\n"

    @pytest.mark.parametrize("column", ["symbol", "Ticker", "コード", "тикер", "xyz"])
    def test_one_is_read(self, tmp_path: Path, column: str) -> None:
        path = save(tmp_path, self.rows(column))
        for repair in (False, "all"):
            with pytest.raises(BarsError, match="must hold one instrument, got EURUSD, GBPUSD"):
                read_bars(path, repair=repair)
        bars = read_bars(path, symbol="EURUSD")
        assert_same_bars(bars, frame_of(walk()))
        assert "Read EURUSD; 60 rows of others were left out." in bars.notes

    def test_a_file_without_names(self, tmp_path: Path) -> None:
        with pytest.raises(BarsError, match=r"names no instrument 'EURUSD'\.\nLeave --symbol out\."):
            read_bars(save(tmp_path, LAYOUTS["pandas"].write(walk())), symbol="EURUSD")

    def test_days_of_the_week_are_no_instruments(self, tmp_path: Path) -> None:
        days = [f"{bar.time:%a}" for bar in walk(200)]
        assert len(read_bars(save(tmp_path, with_column("day", days)))) == 200


class TestClocks:
    def autumn(self, zone: str) -> tuple[str, pd.DatetimeIndex]:
        """Bars on a clock that is put back, and their times in UTC."""
        utc = pd.date_range("2024-11-03 03:00", periods=30, freq="30min", tz="UTC")
        local = utc.tz_convert(zone).tz_localize(None)
        rows = [f"{time},1.1,1.2,1.0,1.1,{i}" for i, time in enumerate(local)]
        return "\n".join([HEAD, *rows]) + "\n", utc.tz_localize(None)

    @pytest.mark.parametrize(("name", "noted"), [("time", True), ("open_time", False)])
    def test_an_assumed_convention_is_noted(self, tmp_path: Path, name: str, noted: bool) -> None:
        rows = LAYOUTS["pandas"].rows(walk())
        bars = read_bars(save(tmp_path, "\n".join([HEAD.replace("time", name), *rows]) + "\n"))
        assert any("taken for those at which bars opened" in note for note in bars.notes) == noted

    @pytest.mark.parametrize("backward", [False, True])
    def test_both_bars_of_a_repeated_hour_are_kept(self, tmp_path: Path, backward: bool) -> None:
        text, utc = self.autumn("America/New_York")
        if backward:
            head, *rows = text.splitlines()
            text = "\n".join([head, *rows[::-1]]) + "\n"
        path = save(tmp_path, text)
        with pytest.raises(BarsError, match="an hour comes twice, where clocks go back"):
            read_bars(path)
        bars = read_bars(path, tz="America/New_York,UTC")
        assert bars.frame["datetime"].tolist() == utc.tolist()
        assert bars.frame["volume"].tolist() == list(range(30))

    def test_a_zone_given_for_an_abbreviation(self, tmp_path: Path) -> None:
        rows = [row.replace(",", " CST,", 1) for row in LAYOUTS["pandas"].rows(walk())]
        bars = read_bars(save(tmp_path, "\n".join([HEAD, *rows])), tz="America/Chicago,UTC")
        assert bars.frame["datetime"].iloc[0] == pd.Timestamp("2024-01-15 06:00")

    @pytest.mark.parametrize(
        "name", ["close_time", "time"]
    )  # the last second of a minute shows it as the name does
    def test_closing_times_alone_become_opening_times(self, tmp_path: Path, name: str) -> None:
        rows = [row.replace(":00:00,", ":59:59.999,", 1) for row in LAYOUTS["pandas"].rows(walk())]
        bars = read_bars(save(tmp_path, "\n".join([HEAD.replace("time", name), *rows]) + "\n"))
        assert_same_bars(bars, frame_of(walk()))
        assert any("at which bars closed; H1 was subtracted" in note for note in bars.notes)

    def test_hours_to_24_are_closing_times(self, tmp_path: Path) -> None:
        rows = [f"{b.time:%Y-%m-%d},{b.time.hour + 1},1.1,1.2,1.0,1.1" for b in walk()]
        bars = read_bars(save(tmp_path, "\n".join(["date,hour,open,high,low,close", *rows])))
        assert bars.frame["datetime"].tolist() == [b.time for b in walk()]
        assert any("at which bars closed; H1 was subtracted" in note for note in bars.notes)


class TestContainers:
    @pytest.mark.parametrize(
        "shape",
        [
            lambda rows: {"result": {"list": rows}},
            lambda rows: {"s": "ok", **{key: [row[i] for row in rows] for i, key in enumerate("tohlcv")}},
            lambda rows: {
                "Time Series": {str(row[0]): dict(zip("ohlcv", row[1:], strict=True)) for row in rows}
            },
            lambda rows: {key: {str(row[0]): row[i] for row in rows} for i, key in enumerate("ohlcv", 1)},
            lambda rows: [
                {"Date": f"/Date({row[0]}000)/", **dict(zip("ohlcv", row[1:], strict=True))} for row in rows
            ],
            lambda rows: {"columns": ["t", *"ohlcv"], "index": list(range(len(rows))), "data": rows},
        ],
        ids=["nested", "columns", "by time", "by column", "ASP.NET", "pandas"],
    )
    def test_json_of_any_shape(self, tmp_path: Path, shape) -> None:
        rows = [
            [
                int(pd.Timestamp(b.time).timestamp()),
                *(p / 1e5 for p in (b.open, b.high, b.low, b.close)),
                b.volume,
            ]
            for b in walk()
        ]
        bars = read_bars(save(tmp_path, json.dumps(shape(rows)), "bars.json"))
        assert_same_bars(bars, frame_of(walk()))
        assert bars.frame["volume"].tolist() == [bar.volume for bar in walk()]

    def test_json_of_several_instruments(self, tmp_path: Path) -> None:
        parts = {
            name: [
                dict(zip("tohlc", (f"{b.time.isoformat()}Z", *prices), strict=True))
                for b in walk()
                for prices in [[n * p / 1e5 for p in (b.open, b.high, b.low, b.close)]]
            ]
            for name, n in (("AAA", 1), ("BBB", 2))
        }
        path = save(tmp_path, json.dumps({"bars": parts}), "bars.json")
        with pytest.raises(BarsError, match="must hold one instrument, got AAA, BBB"):
            read_bars(path, repair="all")
        assert_same_bars(read_bars(path, symbol="AAA"), frame_of(walk()))

    @pytest.mark.parametrize(("kind", "divisor"), [("trade", 10_000), ("quote", 1)])
    def test_lean(self, tmp_path: Path, kind: str, divisor: int) -> None:
        asks = ",9,9,9,9,1" if kind == "quote" else ""
        rows = [
            f"{60_000 * i},{p[0]},{p[1]},{p[2]},{p[3]},5{asks}"
            for i, p in enumerate([(15000, 15010, 14990, 15005)] * 9)
        ]
        if kind == "quote":
            rows = [row.replace("150", "1.50").replace("149", "1.49") for row in rows]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"20131007_spy_minute_{kind}.csv", "\n".join(rows))
        bars = read_bars(save(tmp_path, packed.getvalue(), f"20131007_{kind}.zip"))
        assert bars.format == "LEAN"
        assert bars.frame["datetime"].iloc[[0, -1]].tolist() == [
            pd.Timestamp("2013-10-07"),
            pd.Timestamp("2013-10-07 00:08"),
        ]
        assert bars.frame["close"].iloc[0] == (15005 / divisor if divisor > 1 else 1.5005)

    def test_excel(self, tmp_path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.append(HEAD.split(","))
        for b in walk():
            book.active.append([b.time, *(p / 1e5 for p in (b.open, b.high, b.low, b.close)), b.volume])
        book.save(tmp_path / "bars.xlsx")
        assert_same_bars(read_bars(tmp_path / "bars.xlsx"), frame_of(walk()))

    def test_other_workbooks_are_refused(self, tmp_path: Path) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("[Content_Types].xml", "")
        with pytest.raises(BarsError, match=r"needs openpyxl|a damaged Excel workbook"):
            read_bars(save(tmp_path, packed.getvalue(), "bars.xlsx"))
