"""Published months -> what those who run the program watch: measures as Prometheus text, alerts as lines."""
