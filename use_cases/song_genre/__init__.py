"""Song genre: given a song's audio features, is it reggaeton?"""
