-- Each usable message once, without what is not needed to find its session.
CREATE OR REPLACE TEMP TABLE messages AS
SELECT
    file_no, row_no, event_id, event_time, tie_rank, day, campaign_key, anonymous_id, user_id,
    stated_session_id
FROM $rows
WHERE dropped IS NULL AND event_id NOT IN (SELECT event_id FROM earlier)
QUALIFY row_number() OVER (
    PARTITION BY event_id ORDER BY received_time NULLS LAST, event_time, content, file_no, row_no
) = 1
