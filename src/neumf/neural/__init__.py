"""The parts of the two neural recommenders: parameters, presets, fitting, fold-in, export."""
