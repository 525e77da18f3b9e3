"""What a reader gets: measurement.json, measurements.csv, overview.png, report.html and the label maps."""
