"""The parts of report.md: one file each, a function `section(material) -> Section | None`."""
