"""What a session did, as one HTML file that can be seen and heard and that loads nothing."""

from __future__ import annotations

from streamer.report.contents import report_contents
from streamer.report.page import report_page
from streamer.report.recorder import Recording, ReportRecorder

__all__ = ["Recording", "ReportRecorder", "report_contents", "report_page"]
