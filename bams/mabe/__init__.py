"""MABe 2022: its files, its protocol and its scores."""
