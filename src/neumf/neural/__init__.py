"""What the two neural recommenders are made of: parameters, presets, fitting, fold-in, export."""
