"""Files that people upload: their types, storage, pictures and thumbnails."""
