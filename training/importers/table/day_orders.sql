-- The canonical events of one day.
WITH events AS (
    SELECT
        event_id,
        any_value(type) AS type,
        any_value(event_begin) AS event_time,
        any_value(session_id) AS session_id,
        any_value(source_seq) AS source_seq,
        any_value(customer_id) AS user_id,
        any_value(event_order_id) AS order_id,
        list({
            'item_id': item_id,
            'category_path': category_path,
            'brand': brand,
            'price_micros': price_micros,
            'quantity': as_whole(quantity, 1, 1000000),
            'position': CAST(NULL AS INTEGER),
            'on_sale': on_sale
        } ORDER BY place) FILTER (NOT is_charge AND place <= $max_items) AS items,
        sum(CAST(round(quantity * price_micros) AS HUGEINT)) AS total,
        arg_min(currency, (is_charge, place)) AS currency,
        arg_min(attributes, (is_charge, place)) AS attributes
    FROM $lines
    GROUP BY event_id
)

SELECT
    * EXCLUDE (total),
    CASE WHEN total <= 9000000000000000000 THEN CAST(greatest(total, 0) AS BIGINT) END
        AS value_micros
FROM events
ORDER BY event_time, session_id, source_seq
