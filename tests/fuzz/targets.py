"""All fuzz targets, for `make test` (the seeds, and a few changes of them) and `make test-long` (as long as asked)."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.judging import JUDGING
from tests.fuzz.reading import READING
from tests.fuzz.receiving import RECEIVING
from tests.fuzz.serving import SERVING
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {target.name: target for target in (*READING, *JUDGING, *RECEIVING, *SERVING)}
