SELECT shop_day(min(event_time), '$zone') FROM usable_lines
