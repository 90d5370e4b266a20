-- Event rows with their sessions, each in the part of its day.
SELECT found.* EXCLUDE (user_id, content, campaign_key, stated_session_id),
    sessions.user_id, sessions.session_id, found.day AS part
FROM $rows AS found JOIN sessions USING (file_no, row_no)
