-- One row per raw row: columns of the canonical event as far as the row itself gives them, and
-- beside them what the later steps need: day, tie_rank, dropped (reason or null), cleaned (tags).
WITH raw AS (
    SELECT $columns FROM read_parquet($files, filename = true, file_row_number = true)
),

named AS (
    SELECT
        raw.*,
        COALESCE(names.type, CASE WHEN known(raw.event_name) IS NOT NULL THEN 'other' END) AS type,
        names.type IS NULL AS is_unnamed,
        COALESCE(names.tie_rank, $unnamed_tie_rank) AS tie_rank,
        regexp_replace(raw.event_date, '[^0-9]', '', 'g')[1:8] AS date_digits,
        known(raw.user_pseudo_id) AS anonymous_id,
        known(param_texts[list_position(param_keys, 'ga_session_id')]) AS ga_session_id,
        param_texts[list_position(param_keys, 'page_location')] AS page_location,
        param_texts[list_position(param_keys, 'page_title')] AS raw_title,
        param_texts[list_position(param_keys, 'medium')] AS param_medium,
        param_texts[list_position(param_keys, 'campaign')] AS param_campaign,
        param_texts[list_position(param_keys, 'source')] AS param_source,
        param_texts[list_position(param_keys, 'percent_scrolled')] AS raw_scroll,
        param_texts[list_position(param_keys, 'engagement_time_msec')] AS raw_engagement,
        param_texts[list_position(param_keys, 'search_term')] AS raw_search_term,
        param_texts[list_position(param_keys, 'currency')] AS raw_currency,
        param_texts[list_position(param_keys, 'transaction_id')] AS param_order_id,
        param_texts[list_position(param_keys, 'value')] AS param_value
    FROM raw LEFT JOIN names ON raw.event_name = names.event_name
),

chosen AS (
    SELECT
        *,
        anonymous_id || '.' || ga_session_id AS session_id,
        CASE WHEN regexp_full_match(date_digits, '\d{8}')
            THEN CAST(try_strptime(date_digits, '%Y%m%d') AS DATE) END AS stated_day,
        CASE WHEN event_time BETWEEN $first_time AND $last_time
            THEN CAST(make_timestamp(event_time) AS DATE) END AS utc_day,
        COALESCE(regexp_full_match(upper(trim(raw_currency)), '[A-Z]{3}'), false) AS has_currency,
        COALESCE(param_medium, param_campaign, param_source) IS NOT NULL AS by_params,
        COALESCE(collected_medium, collected_campaign, collected_source, collected_gclid) IS NOT NULL
            AS by_collected,
        type IN ('purchase', 'refund') AS is_order,
        CASE WHEN type IN ('purchase', 'refund')
            THEN COALESCE(known(param_order_id), transaction_id, param_order_id) END AS raw_order_id
    FROM named
),

valued AS (
    SELECT
        *,
        COALESCE(stated_day, utc_day) AS day,
        CASE WHEN has_currency THEN upper(trim(raw_currency)) END AS currency,
        COALESCE(
            CASE WHEN has_currency THEN upper(trim(raw_currency)) END, NULLIF($currency, ''), 'USD'
        ) = 'USD' AS takes_usd,
        CASE WHEN by_params THEN param_medium
            WHEN by_collected
                THEN COALESCE(
                    collected_medium, CASE WHEN collected_gclid IS NOT NULL THEN 'cpc' END
                )
            ELSE first_medium END AS raw_medium,
        CASE WHEN by_params THEN param_campaign WHEN by_collected THEN collected_campaign
            ELSE first_campaign END AS raw_campaign,
        CASE WHEN by_params THEN param_source WHEN by_collected THEN collected_source
            ELSE first_source END AS raw_source
    FROM chosen
),

parsed AS (
    SELECT
        *,
        CASE WHEN is_order THEN COALESCE(
            known(param_value),
            CASE WHEN type = 'refund' THEN known(refund_value) END,
            CASE WHEN type = 'refund' AND takes_usd THEN known(refund_value_in_usd) END,
            known(purchase_revenue),
            CASE WHEN takes_usd THEN known(purchase_revenue_in_usd) END
        ) END AS raw_value,
        as_number(known(raw_scroll)) AS scroll_number,
        as_number(known(raw_engagement)) AS engagement_number,
        as_number(known(time_zone_offset_seconds)) / 60 AS offset_number,
        as_page_id(known(page_location)) AS full_page_id,
        CASE WHEN known(raw_title) IS NOT NULL THEN raw_title END AS full_title,
        list_transform(raw_items, lambda i: {
            'item_id': known(i.item_id),
            'category_path': list_filter(
                [known(i.category), known(i.category2), known(i.category3), known(i.category4),
                    known(i.category5)],
                lambda level: level IS NOT NULL
            ),
            'brand': known(i.brand),
            'price': COALESCE(
                known(i.price), CASE WHEN takes_usd THEN known(i.price_in_usd) END
            ),
            'quantity': known(i.quantity),
            'position': known(i.item_list_index),
            'on_sale': CAST(NULL AS VARCHAR)
        }) AS texts
    FROM valued
),

numbered AS (
    SELECT
        *,
        item_numbers(texts) AS numbers,
        as_number(raw_value) AS value_number,
        -- A transient token stands in for the cookie of a visitor who denied it.
        COALESCE(
            as_consent(analytics_storage), CASE WHEN as_flag(uses_transient_token) THEN 'denied' END
        ) AS analytics
    FROM parsed
),

itemized AS (
    SELECT *, numbered_items(numbers) AS items_made, flaws_of_items(numbers) AS item_flaws
    FROM numbered
),

canonical AS (
    SELECT
        file_no,
        row_no,
        COALESCE(strftime(day, '%Y-%m-%d'), '') AS day,
        tie_rank,
        CASE
            WHEN analytics = 'denied' THEN 'analytics_denied'
            WHEN event_time IS NULL THEN 'missing_event_timestamp'
            WHEN event_time NOT BETWEEN $first_time AND $last_time
                THEN 'event_timestamp_out_of_range'
            WHEN type IS NULL THEN 'missing_event_name'
            WHEN anonymous_id IS NULL THEN 'missing_user_pseudo_id'
            WHEN ga_session_id IS NULL THEN 'missing_ga_session_id'
            WHEN is_long(anonymous_id) THEN 'user_pseudo_id_too_long'
            WHEN is_long(session_id) THEN 'session_id_too_long'
            WHEN make_timestamp(event_time) < day - INTERVAL '$days_before days'
                OR make_timestamp(event_time) > day + INTERVAL '$hours_after hours'
                THEN 'event_timestamp_off_event_date'
        END AS dropped,
        concat_ws(' ',
            NULLIF(trim(array_to_string(item_flaws, ' ')), ''),
            NULLIF(trim(repeat('items.over_50 ', greatest(len(items_made) - 50, 0))), ''),
            CASE WHEN stated_day IS NULL AND event_date IS NOT NULL
                THEN 'event_date.invalid' END,
            CASE WHEN is_unset(user_id) THEN 'user_id.not_set'
                WHEN is_long(user_id) THEN 'user_id.too_long' END,
            CASE WHEN is_unset(raw_order_id) THEN 'order_id.not_set'
                WHEN is_long(raw_order_id) THEN 'order_id.too_long' END,
            number_flaw(raw_value, value_number, as_micros(value_number), 'value_micros'),
            CASE WHEN is_unset(raw_currency) THEN 'currency.not_set'
                WHEN known(raw_currency) IS NOT NULL AND NOT has_currency
                    THEN 'currency.not_a_currency' END,
            CASE WHEN is_unset(page_location) THEN 'page_id.not_set'
                WHEN is_long(full_page_id) THEN 'page_id.cut' END,
            CASE WHEN is_unset(raw_title) THEN 'page_title.not_set'
                WHEN is_long(full_title) THEN 'page_title.cut' END,
            CASE WHEN is_unset(raw_medium) AND as_medium(raw_medium) IS NULL
                THEN 'referrer_medium.not_set' END,
            CASE WHEN is_unset(raw_campaign) THEN 'referrer_campaign.not_set'
                WHEN is_long(raw_campaign) THEN 'referrer_campaign.cut' END,
            CASE WHEN is_unset(raw_source) THEN 'referrer_source.not_set'
                WHEN is_long(raw_source) THEN 'referrer_source.cut' END,
            CASE WHEN is_unset(device_category) THEN 'device.not_set' END,
            CASE WHEN is_unset(language) THEN 'locale.not_set'
                WHEN is_long(language) THEN 'locale.too_long' END,
            number_flaw(
                known(time_zone_offset_seconds), offset_number,
                as_whole(round(offset_number), -840, 840), 'utc_offset_minutes'
            ),
            CASE WHEN scroll_number NOT BETWEEN 0 AND 100 THEN 'scroll_percent.clipped'
                ELSE number_flaw(
                    known(raw_scroll), scroll_number, scroll_number, 'scroll_percent'
                ) END,
            CASE WHEN engagement_number NOT BETWEEN 0 AND $day_ms THEN 'engagement_ms.clipped'
                ELSE number_flaw(
                    known(raw_engagement), engagement_number, engagement_number, 'engagement_ms'
                ) END,
            CASE WHEN is_unset(raw_search_term) THEN 'search_terms_hash.not_set' END,
            CASE WHEN is_unnamed AND is_long(event_name) THEN 'attributes.cut' END
        ) AS cleaned,
        CASE WHEN type = 'item_view' THEN least(COALESCE(len(items_made), 0), 50) END
            AS items_viewed,
        md5(concat_ws(chr(31),
            COALESCE(strftime(day, '%Y-%m-%d'), ''), COALESCE(event_time, 0),
            COALESCE(event_name, ''), COALESCE(user_pseudo_id, ''), COALESCE(user_id, ''),
            COALESCE(bundle, ''), COALESCE(transaction_id, ''), COALESCE(purchase_revenue, ''),
            array_to_string(list_sort(list_transform(
                param_keys, lambda key, place: key || '=' || COALESCE(param_texts[place], '')
            )), chr(31)),
            COALESCE(CAST(raw_items AS VARCHAR), '')
        ))[1:24] AS event_id,
        type,
        event_time,
        session_id,
        anonymous_id,
        unless_long(known(user_id)) AS user_id,
        NULLIF(items_made[1:50], []) AS items,
        unless_long(known(raw_order_id)) AS order_id,
        as_micros(value_number) AS value_micros,
        currency,
        cut(full_page_id) AS page_id,
        cut(full_title) AS page_title,
        CAST(NULL AS VARCHAR) AS stated_page_type,
        as_medium(raw_medium) AS referrer_medium,
        cut(known(raw_campaign)) AS referrer_campaign,
        cut(known(raw_source)) AS referrer_source,
        as_device(device_category) AS device,
        unless_long(known(language)) AS locale,
        as_whole(round(offset_number), -840, 840) AS utc_offset_minutes,
        clipped(scroll_number, 100.0) AS scroll_percent,
        CAST(round(clipped(engagement_number, $day_ms)) AS BIGINT) AS engagement_ms,
        known(raw_search_term) AS search_term,
        analytics AS consent_analytics,
        as_consent(ads_storage) AS consent_ads,
        CASE WHEN is_unnamed THEN MAP {'ga4_event': cut(event_name)} END AS attributes
    FROM itemized
)

SELECT *, COALESCE(CASE WHEN dropped IS NULL THEN day END, 'dropped') AS part FROM canonical
