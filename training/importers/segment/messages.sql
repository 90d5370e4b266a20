-- Raw rows (see visits/rows.py) of Segment messages, one line of JSON each.
WITH parsed AS (
    SELECT
        file_no,
        row_no,
        line,
        CASE WHEN json_valid(line) AND TRY(json_type(line)) = 'OBJECT'
            THEN TRY(from_json(line, $structure)) END AS message
    FROM $lines
),

opened AS (
    SELECT
        file_no,
        row_no,
        line,
        message IS NULL AS is_malformed,
        message.*,
        message.properties AS p,
        message.context AS c,
        lower(trim(message.type)) AS call
    FROM parsed
),

named AS (
    SELECT
        opened.*,
        as_time_us("timestamp") AS stated_time,
        COALESCE(
            as_time_us("timestamp"), as_time_us(originalTimestamp),
            as_time_us(sentAt), as_time_us(receivedAt)
        ) AS event_time,
        $names[
            call || ':' || CASE WHEN call = 'track'
                THEN regexp_replace(lower(trim(event)), '[\s_-]+', ' ', 'g') ELSE '' END
        ] AS known_call,
        COALESCE(CASE WHEN call IN ('page', 'screen') THEN p.url END, c.page.url) AS page_url,
        COALESCE(CASE WHEN call IN ('page', 'screen') THEN p.referrer END, c.page.referrer)
            AS referrer,
        COALESCE(known(c.campaign.name), known(c.campaign.source), known(c.campaign.medium))
            IS NOT NULL AS has_campaign,
        list_transform(
            list_concat(
                map_entries(TRY(from_json(c.consent -> 'categoryPreferences', $answers))),
                list_filter(
                    map_entries(TRY(from_json(c.consent, $answers))),
                    lambda e: e.key <> 'categoryPreferences'
                )
            ),
            lambda e: {
                'category': regexp_replace(lower(e.key), '[^a-z0-9]', '', 'g'),
                'answer': as_consent(e.value),
                'is_odd': known(e.value) IS NOT NULL AND as_consent(e.value) IS NULL
            }
        ) AS consents
    FROM opened
),

referred AS (
    SELECT
        *,
        known_call.type AS canonical_type,
        as_host(referrer) AS referrer_host,
        as_host(referrer) = as_host(page_url) AS is_internal,
        regexp_matches(
            COALESCE(c.page.search, page_url), '[?&](gclid|gbraid|wbraid|msclkid)='
        ) AS is_ad_click
    FROM named
)

SELECT
    file_no,
    row_no,
    md5(line) AS content,
    CASE
        WHEN is_malformed THEN 'malformed_json'
        WHEN call IS NULL OR call NOT IN ('track', 'page', 'screen', 'identify', 'alias')
            THEN 'unknown_call_type'
        WHEN call = 'track' AND known(event) IS NULL THEN 'missing_event_name'
        WHEN event_time IS NULL
            AND COALESCE("timestamp", originalTimestamp, sentAt, receivedAt) IS NOT NULL
            THEN 'event_time_not_a_time'
    END AS dropped,
    concat_ws(' ',
        CASE WHEN "timestamp" IS NOT NULL AND stated_time IS NULL THEN 'event_time.not_a_time' END,
        CASE WHEN receivedAt IS NOT NULL AND as_time_us(receivedAt) IS NULL
            THEN 'received_time.not_a_time' END,
        CASE WHEN len(list_filter(consents, lambda a: a.is_odd)) > 0
            THEN 'consent.not_an_answer' END,
        flag_flaw(COALESCE(c.gpc, c.globalPrivacyControl), 'consent_gpc')
    ) AS flaws,
    COALESCE(known_call.tie_rank, $unnamed_tie_rank) AS tie_rank,
    messageId AS event_id,
    COALESCE(canonical_type, 'other') AS type,
    event_time,
    as_time_us(receivedAt) AS received_time,
    c.sessionId AS session_id,
    COALESCE(as_id(anonymousId), CASE WHEN call = 'alias' THEN as_id(previousId) END)
        AS anonymous_id,
    as_id(userId) AS user_id,
    CASE
        WHEN len(p.products) > 0 THEN list_transform(p.products, lambda i: {
            'item_id': COALESCE(known(i.product_id), known(i.id), known(i.sku)),
            'category_path': as_levels(i.category),
            'brand': known(i.brand),
            'price': known(i.price),
            'quantity': known(i.quantity),
            'position': known(i.position),
            'on_sale': CAST(NULL AS VARCHAR)
        })
        WHEN canonical_type IN (
                'item_view', 'item_click', 'cart_add', 'cart_remove', 'wishlist_add',
                'wishlist_remove', 'review', 'share'
            )
            AND COALESCE(known(p.product_id), known(p.id), known(p.sku)) IS NOT NULL THEN [{
            'item_id': COALESCE(known(p.product_id), known(p.id), known(p.sku)),
            'category_path': as_levels(p.category),
            'brand': known(p.brand),
            'price': known(p.price),
            'quantity': known(p.quantity),
            'position': known(p.position),
            'on_sale': CAST(NULL AS VARCHAR)
        }]
    END AS items,
    COALESCE(known(p.order_id), known(p.orderId)) AS order_id,
    CASE WHEN canonical_type = 'refund'
        THEN ltrim(COALESCE(known(p.total), known(p.revenue), known(p.value)), '-')
        ELSE COALESCE(known(p.total), known(p.revenue), known(p.value)) END AS value,
    p.currency AS currency,
    COALESCE(
        CASE WHEN call = 'page' THEN COALESCE(known(p.path), known(p.url)) END,
        CASE WHEN call = 'screen' THEN known(name) END,
        known(c.page.path), known(c.page.url)
    ) AS page,
    COALESCE(
        CASE WHEN call = 'page' THEN known(p.title) END,
        CASE WHEN call = 'screen' THEN known(name) END,
        known(c.page.title),
        CASE WHEN call = 'page' THEN known(name) END
    ) AS page_title,
    CASE
        WHEN has_campaign THEN c.campaign.medium
        WHEN is_ad_click THEN 'cpc'
        WHEN trim(referrer) = '' THEN 'direct'
        WHEN referrer_host IS NULL OR is_internal THEN NULL
        WHEN regexp_matches(referrer_host, '^(web)?mail\.|^outlook\.') THEN 'email'
        WHEN regexp_matches(
            referrer_host,
            '(^|\.)(google|bing|duckduckgo|yahoo|baidu|yandex|ecosia|qwant|naver|seznam|startpage)\.'
        ) OR referrer_host = 'search.brave.com' THEN 'organic'
        WHEN regexp_matches(
            referrer_host,
            '(^|\.)(facebook\.com|instagram\.com|twitter\.com|x\.com|t\.co|pinterest\.[a-z.]+|'
            || 'linkedin\.com|lnkd\.in|tiktok\.com|reddit\.com|youtube\.com|snapchat\.com|'
            || 'threads\.net|vk\.com)$$'
        ) THEN 'social'
        ELSE 'referral'
    END AS medium,
    c.campaign.name AS campaign,
    CASE WHEN has_campaign THEN c.campaign.source WHEN NOT is_internal THEN referrer_host END
        AS source,
    CASE
        WHEN lower(c.device.type) IN ('ios', 'android')
            OR regexp_matches(lower(c.library.name), 'ios|android|swift|kotlin|react-native|flutter')
            THEN 'app'
        WHEN known(c.userAgent) IS NULL THEN NULL
        WHEN regexp_matches(lower(c.userAgent), 'ipad|tablet|playbook|silk/')
            OR regexp_matches(lower(c.userAgent), 'android')
            AND NOT regexp_matches(lower(c.userAgent), 'mobile') THEN 'tablet'
        WHEN regexp_matches(lower(c.userAgent), 'mobi|iphone|ipod|android')
            OR as_flag(c.userAgentData.mobile) THEN 'mobile'
        WHEN regexp_matches(lower(c.userAgent), 'windows|macintosh|linux|x11|cros') THEN 'desktop'
        ELSE 'other'
    END AS device,
    c.locale AS locale,
    CASE WHEN c.timezone IN (SELECT name FROM segment_zones)
            AND event_time BETWEEN $first_time AND $last_time
        THEN datediff(
            'minute',
            timezone('UTC', make_timestamptz(event_time)),
            timezone(c.timezone, make_timestamptz(event_time))
        ) END AS utc_offset_minutes,
    CASE WHEN canonical_type = 'search' THEN p.query END AS search_term,
    as_answer(consents, [
        'analytics', 'analyticsstorage', 'statistics', 'performance', 'measurement', 'c0002'
    ]) AS consent_analytics,
    as_answer(consents, [
        'personalization', 'personalisation', 'personalizationstorage', 'functional',
        'functionality', 'functionalitystorage', 'preferences', 'c0003'
    ]) AS consent_personalization,
    as_answer(consents, [
        'advertising', 'ads', 'adstorage', 'aduserdata', 'adpersonalization', 'marketing',
        'targeting', 'c0004'
    ]) AS consent_ads,
    COALESCE(as_flag(c.gpc), as_flag(c.globalPrivacyControl)) AS consent_gpc,
    CASE WHEN known(c.userAgent) IS NOT NULL THEN regexp_matches(
        lower(c.userAgent),
        '(^|[^u])bot([^a-z]|$$)|crawler|spider|slurp|headless|lighthouse|python-requests|curl/|wget/'
    ) END AS is_bot,
    CASE WHEN canonical_type IS NULL THEN MAP {'segment_event': COALESCE(event, call)} END
        AS attributes
FROM referred
