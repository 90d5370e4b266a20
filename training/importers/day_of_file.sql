(SELECT * REPLACE (epoch_us(event_time) AS event_time) FROM read_parquet($file))
