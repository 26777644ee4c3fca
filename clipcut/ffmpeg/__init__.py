"""Everything that touches FFmpeg: its argument lists, its processes, and its libraries through PyAV."""
