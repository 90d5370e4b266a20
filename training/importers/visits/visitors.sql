-- Messages to cut into sessions, in the order of visitor and time, behind what earlier days hold of
-- sessions that were cut by the same rules. The visitor is a browser or device; where a backend
-- names the user alone, the device that this user used last, unless that is long ago; else the user.
WITH devices AS (
    SELECT user_id, event_time, min(anonymous_id) AS device
    FROM (
        SELECT user_id, anonymous_id, event_time FROM messages
        UNION ALL
        SELECT user_id, anonymous_id, event_time FROM earlier
    )
    WHERE user_id IS NOT NULL AND anonymous_id IS NOT NULL
    GROUP BY user_id, event_time
),

of_users AS (
    SELECT
        messages.*,
        CASE WHEN messages.event_time - devices.event_time <= $lookback THEN devices.device
            ELSE messages.user_id END AS visitor
    FROM messages ASOF LEFT JOIN devices
        ON messages.user_id = devices.user_id AND messages.event_time >= devices.event_time
    WHERE messages.anonymous_id IS NULL AND messages.stated_session_id IS NULL
),

of_earlier_days AS (
    SELECT *, regexp_extract(session_id, '^(.+)\.\d+$$', 1) AS visitor
    FROM earlier
    QUALIFY session_id = concat(
        regexp_extract(session_id, '^(.+)\.\d+$$', 1), '.',
        min(event_time) OVER (PARTITION BY session_id)
    )
)

SELECT visitor, event_time, day, campaign_key, session_id, file_no, row_no
FROM (
    SELECT visitor, event_time, day, campaign_key, session_id, -1 AS file_no, 0 AS row_no,
        -1 AS tie_rank, event_id
    FROM of_earlier_days
    UNION ALL
    SELECT visitor, event_time, day, campaign_key, NULL, file_no, row_no, tie_rank, event_id
    FROM of_users
    UNION ALL
    SELECT anonymous_id, event_time, day, campaign_key, NULL, file_no, row_no, tie_rank, event_id
    FROM messages
    WHERE anonymous_id IS NOT NULL AND stated_session_id IS NULL
)
ORDER BY visitor, event_time, tie_rank, event_id
