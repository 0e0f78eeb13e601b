"""What two or more Backstop services share. Nothing enters here for one service alone."""
