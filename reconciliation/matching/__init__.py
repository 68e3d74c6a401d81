"""Items and references -> matches. The cascade orders strategies; a strategy proposes and never removes."""
