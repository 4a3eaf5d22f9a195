"""Planning compute: laws of loss in model size, data, experts and batch; fitted, compared, used."""
