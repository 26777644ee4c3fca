"""Videos in segments, from HLS or from fragmented files: what is fetched, put together and cut."""
