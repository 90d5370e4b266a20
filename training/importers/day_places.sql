-- Place of each raw row of one day in its session, and what becomes of the row. Ties of time go by
-- rank and then by content (event_id), so that the order of rows in a file means nothing.
CREATE OR REPLACE TEMP TABLE day_places AS
WITH earlier_sessions AS (
    SELECT session_id, arg_max(raw_rows, day) AS raw_rows
    FROM $sessions
    GROUP BY session_id
),

placed AS (
    SELECT
        file_no, row_no, event_id, session_id, anonymous_id, user_id, type, order_id, event_time,
        row_number() OVER (
            PARTITION BY session_id ORDER BY event_time, tie_rank, event_id, file_no, row_no
        ) AS place,
        row_number() OVER (PARTITION BY event_id ORDER BY file_no, row_no) > 1 AS is_duplicate,
        bool_or(items_viewed <= 1) OVER batch AS shows_item,
        bool_or(items_viewed > 1) OVER batch AS shows_list
    FROM $rows
    WINDOW batch AS (PARTITION BY session_id, event_time)
),

purchases AS (
    SELECT day, COALESCE(anonymous_id, user_id) AS buyer, order_id, event_time, event_id FROM $purchases
    UNION ALL
    SELECT $day, COALESCE(anonymous_id, user_id), order_id, event_time, event_id FROM placed
    WHERE type = 'purchase' AND NOT is_duplicate
),

compared AS (
    SELECT
        day, order_id, event_id,
        row_number() OVER (
            PARTITION BY $order_scope, order_id ORDER BY day, event_time, event_id
        ) AS nth_of_order,
        abs(event_time - lag(event_time) OVER (
            PARTITION BY buyer ORDER BY day, event_time, event_id
        )) AS since_previous
    FROM purchases
),

repeated AS (
    SELECT event_id FROM compared
    WHERE day = $day AND CASE
        WHEN order_id IS NULL THEN since_previous <= $repeat_gap
        ELSE nth_of_order > 1 END
)

SELECT
    placed.* EXCLUDE (place, is_duplicate),
    place + COALESCE(earlier_sessions.raw_rows, 0) AS source_seq,
    CASE
        WHEN is_duplicate THEN 'duplicate_row'
        WHEN event_id IN (FROM repeated) THEN 'repeated_purchase'
    END AS merged
FROM placed LEFT JOIN earlier_sessions USING (session_id)
