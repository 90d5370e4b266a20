SELECT shop_day(min(event_time), '$zone') FROM $lines WHERE dropped IS NULL
