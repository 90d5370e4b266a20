-- Each message with its session, and with the user as far as the session knows one by then.
CREATE OR REPLACE TEMP TABLE sessions AS
WITH named AS (
    SELECT
        file_no, row_no, event_time, tie_rank, event_id, user_id,
        CASE WHEN stated_session_id IS NULL THEN cut.session_id
            ELSE COALESCE(anonymous_id, user_id) || '.' || stated_session_id END AS session_id
    FROM messages LEFT JOIN $cut AS cut USING (file_no, row_no)
),

followed AS (
    SELECT
        file_no, row_no, session_id,
        last_value(user_id IGNORE NULLS) OVER (
            PARTITION BY session_id ORDER BY event_time, tie_rank, event_id
            ROWS UNBOUNDED PRECEDING
        ) AS user_id
    FROM (
        SELECT file_no, row_no, session_id, event_time, tie_rank, event_id, user_id FROM named
        UNION ALL
        SELECT -1, 0, session_id, event_time, -1, event_id, user_id FROM earlier
    )
)

SELECT * FROM followed WHERE file_no >= 0
