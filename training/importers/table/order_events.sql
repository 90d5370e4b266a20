-- Which event each usable line belongs to, and when and on which day that happened.
CREATE OR REPLACE TEMP TABLE line_events AS
WITH linked AS (
    SELECT
        usable_lines.*,
        CASE WHEN is_refund THEN COALESCE(known_order_id, found.original_order_id)
            ELSE order_id END AS event_order_id
    FROM usable_lines LEFT JOIN $found AS found USING (file_no, row_no)
)

SELECT
    file_no,
    row_no,
    md5(concat_ws(
        chr(31),
        CASE WHEN is_refund THEN 'refund' ELSE 'purchase' END,
        COALESCE(customer_id, ''), order_id, COALESCE(event_order_id, '')
    )) AS event_id,
    CASE WHEN is_refund THEN 'refund' ELSE 'purchase' END AS type,
    event_order_id,
    COALESCE(customer_id, 'guest') || '.' || order_id AS session_id,
    min(event_time) OVER (
        PARTITION BY is_refund, customer_id, order_id, event_order_id
    ) AS event_begin
FROM linked;

CREATE OR REPLACE TEMP TABLE order_events AS
WITH events AS (
    SELECT event_id, any_value(type) AS type, any_value(session_id) AS session_id,
        any_value(event_begin) AS event_begin
    FROM line_events GROUP BY event_id
),

earlier AS (
    SELECT session_id, max(source_seq) AS places FROM earlier_orders GROUP BY session_id
)

SELECT
    event_id,
    shop_day(event_begin, '$zone') AS day,
    COALESCE(earlier.places, 0) + row_number() OVER (
        PARTITION BY session_id ORDER BY event_begin, type, event_id
    ) AS source_seq
FROM events LEFT JOIN earlier USING (session_id)
