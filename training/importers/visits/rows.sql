-- From raw rows (texts as the source has them; visits/rows.py lists the columns) to rows with the
-- columns of the canonical event as far as a row itself gives them, and beside them tie_rank,
-- content (a digest of the raw row), campaign_key, items_viewed, dropped (reason or null) and
-- cleaned (tags).
WITH raw AS ($raw),

parsed AS (
    SELECT
        * REPLACE (
            trim(anonymous_id) AS anonymous_id,
            trim(user_id) AS user_id
        ),
        type IN ('purchase', 'refund', 'cancel') AS is_order,
        item_numbers(items) AS numbers,
        as_number(known(value)) AS value_number,
        as_number(known(utc_offset_minutes)) AS offset_number,
        as_number(known(scroll_percent)) AS scroll_number,
        as_number(known(dwell_ms)) AS dwell_number,
        as_number(known(hover_ms)) AS hover_number,
        as_number(known(engagement_ms)) AS engagement_number,
        upper(trim(currency)) AS currency_code,
        COALESCE(regexp_full_match(upper(trim(currency)), '[A-Z]{3}'), false) AS has_currency,
        CASE WHEN contains(page, '/') THEN as_page_id(known(page)) ELSE known(page) END
            AS full_page_id,
        CASE WHEN event_time BETWEEN $first_time AND $last_time
            THEN shop_day(event_time, '$zone') END AS day
    FROM raw
),

itemized AS (
    SELECT *, numbered_items(numbers) AS items_made, flaws_of_items(numbers) AS item_flaws
    FROM parsed
)

SELECT
    file_no,
    row_no,
    day,
    COALESCE(tie_rank, 0) AS tie_rank,
    content,
    CASE
        WHEN as_consent(consent_analytics) = 'denied' THEN 'analytics_denied'
        WHEN dropped IS NOT NULL THEN dropped
        WHEN event_time IS NULL THEN 'missing_event_time'
        WHEN event_time NOT BETWEEN $first_time AND $last_time THEN 'event_time_out_of_range'
        WHEN type IS NULL THEN 'missing_event_type'
        WHEN known(anonymous_id) IS NULL AND known(user_id) IS NULL THEN 'missing_visitor'
        WHEN is_long(known(anonymous_id)) THEN 'anonymous_id_too_long'
        WHEN known(anonymous_id) IS NULL AND is_long(known(user_id)) THEN 'user_id_too_long'
        WHEN strlen(COALESCE(known(anonymous_id), known(user_id))) + 17 > 256
            OR strlen(COALESCE(known(anonymous_id), known(user_id)))
                + COALESCE(strlen(known(session_id)), 0) + 1 > 256 THEN 'session_id_too_long'
        WHEN day NOT BETWEEN '$first_day' AND '$last_day' THEN 'outside_days'
    END AS dropped,
    concat_ws(' ',
        flaws,
        NULLIF(trim(array_to_string(item_flaws, ' ')), ''),
        NULLIF(trim(repeat('items.over_50 ', greatest(len(items_made) - 50, 0))), ''),
        CASE WHEN is_long(known(user_id)) THEN 'user_id.too_long' END,
        CASE WHEN received_time NOT BETWEEN $first_time AND $last_time
            THEN 'received_time.out_of_range' END,
        CASE WHEN is_order AND is_long(known(order_id)) THEN 'order_id.too_long' END,
        CASE WHEN is_order THEN number_flaw(
            known(value), value_number, as_micros(value_number), 'value_micros'
        ) END,
        CASE WHEN known(currency) IS NOT NULL AND NOT has_currency
            THEN 'currency.not_a_currency' END,
        CASE WHEN is_long(full_page_id) THEN 'page_id.cut' END,
        CASE WHEN is_long(known(page_title)) THEN 'page_title.cut' END,
        CASE WHEN is_long(known(campaign)) THEN 'referrer_campaign.cut' END,
        CASE WHEN is_long(known(source)) THEN 'referrer_source.cut' END,
        CASE WHEN is_long(known(locale)) THEN 'locale.too_long' END,
        number_flaw(
            known(utc_offset_minutes), offset_number, as_whole(round(offset_number), -840, 840),
            'utc_offset_minutes'
        ),
        clip_flaw(known(scroll_percent), scroll_number, 100, 'scroll_percent'),
        clip_flaw(known(dwell_ms), dwell_number, $day_ms, 'dwell_ms'),
        clip_flaw(known(hover_ms), hover_number, $day_ms, 'hover_ms'),
        clip_flaw(known(engagement_ms), engagement_number, $day_ms, 'engagement_ms'),
        consent_flaw(consent_analytics, 'consent_analytics'),
        consent_flaw(consent_personalization, 'consent_personalization'),
        consent_flaw(consent_ads, 'consent_ads'),
        CASE WHEN cardinality(attributes) > 32 THEN 'attributes.over_32' END,
        CASE WHEN list_max(list_transform(map_values(attributes), lambda text: strlen(text))) > 256
            THEN 'attributes.cut' END
    ) AS cleaned,
    CASE WHEN type = 'item_view' THEN least(COALESCE(len(items_made), 0), 50) END AS items_viewed,
    known(campaign) AS campaign_key,
    CASE WHEN is_long(known(event_id)) THEN md5(event_id)
        ELSE COALESCE(known(event_id), content) END AS event_id,
    type,
    event_time,
    CASE WHEN received_time BETWEEN $first_time AND $last_time THEN received_time END
        AS received_time,
    known(session_id) AS stated_session_id,
    known(anonymous_id) AS anonymous_id,
    unless_long(known(user_id)) AS user_id,
    NULLIF(items_made[1:50], []) AS items,
    CASE WHEN is_order THEN unless_long(known(order_id)) END AS order_id,
    CASE WHEN is_order THEN as_micros(value_number) END AS value_micros,
    CASE WHEN has_currency THEN currency_code END AS currency,
    cut(full_page_id) AS page_id,
    cut(known(page_title)) AS page_title,
    page_type AS stated_page_type,
    as_medium(medium) AS referrer_medium,
    cut(known(campaign)) AS referrer_campaign,
    cut(known(source)) AS referrer_source,
    CASE WHEN lower(trim(device)) = 'app' THEN 'app' ELSE as_device(device) END AS device,
    unless_long(known(locale)) AS locale,
    as_whole(round(offset_number), -840, 840) AS utc_offset_minutes,
    clipped(scroll_number, 100.0) AS scroll_percent,
    CAST(round(clipped(dwell_number, $day_ms)) AS BIGINT) AS dwell_ms,
    CAST(round(clipped(hover_number, $day_ms)) AS BIGINT) AS hover_ms,
    CAST(round(clipped(engagement_number, $day_ms)) AS BIGINT) AS engagement_ms,
    known(search_term) AS search_term,
    as_consent(consent_analytics) AS consent_analytics,
    as_consent(consent_personalization) AS consent_personalization,
    as_consent(consent_ads) AS consent_ads,
    consent_gpc,
    is_bot,
    as_attributes(attributes) AS attributes
FROM itemized
