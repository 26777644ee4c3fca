"""HLS: playlists read into the tracks of a video in segments. The only place that knows m3u8."""
