-- What the days before hold of sessions that may go on.
CREATE OR REPLACE TEMP TABLE earlier AS
SELECT
    event_id, session_id, epoch_us(event_time) AS event_time, anonymous_id, user_id,
    referrer_campaign AS campaign_key,
    strftime(timezone('$zone', event_time), '%Y-%m-%d') AS day
FROM $events
