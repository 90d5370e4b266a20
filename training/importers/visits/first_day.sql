SELECT min(day) FROM $rows WHERE dropped IS NULL
