"""Bar files: detection, parsing, validation, time zones and resampling."""
