"""Video files behind HTTP, of which only the bytes that clips need are fetched."""
