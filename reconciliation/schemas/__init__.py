"""Every table that passes between stages, declared once. One module per family; money is Int64 in minor units."""
