"""A finished run as one small file: what the leaderboard, the site, exports and notebooks read."""
