-- What stands for "no value" in an export is no value.
CREATE TEMP MACRO is_unset(x) AS trim(x) IN (
    '(not set)', '(not provided)', '(data deleted)', '<obfuscated>', '<Other>', '(other)'
);
CREATE TEMP MACRO known(x) AS CASE
    WHEN trim(x) IN (
        '', '(not set)', '(not provided)', '(data deleted)', '<obfuscated>', '<Other>', '(other)'
    ) THEN NULL
    ELSE trim(x) END;

-- At most 256 bytes, cut between characters: a character has at most 4 bytes.
CREATE TEMP MACRO is_long(x) AS strlen(x) > 256;
CREATE TEMP MACRO cut(x) AS CASE
    WHEN strlen(x) > 256 THEN COALESCE(
        TRY(decode(encode(x)[1:256])), TRY(decode(encode(x)[1:255])),
        TRY(decode(encode(x)[1:254])), TRY(decode(encode(x)[1:253]))
    )
    ELSE x END;
CREATE TEMP MACRO unless_long(x) AS CASE WHEN strlen(x) <= 256 THEN x END;

-- Numbers of known text; what isn't one is null.
CREATE TEMP MACRO as_number(x) AS
    CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE) END;
CREATE TEMP MACRO as_whole(n, low, high) AS
    CASE WHEN n BETWEEN low AND high AND n = floor(n) THEN CAST(n AS INTEGER) END;
-- A number's text without the signs between its thousands (',' or '.', blanks, apostrophes), where
-- each stands before three digits, and with a point before its fraction; else something that is no
-- number, so that it is counted as such.
CREATE TEMP MACRO with_point(x) AS CASE
    WHEN regexp_full_match(x, '[+-]?\d{1,3}([,\x{20}\x{A0}\x{202F}''\x{2019}]\d{3})+(\.\d+)?')
        THEN regexp_replace(x, '[^0-9.+-]', '', 'g')
    ELSE x END;
CREATE TEMP MACRO with_comma(x) AS CASE
    WHEN regexp_full_match(
        x, '[+-]?(\d+|\d{1,3}([.\x{20}\x{A0}\x{202F}''\x{2019}]\d{3})+)?(,\d+)?'
    ) THEN replace(regexp_replace(x, '[^0-9,+-]', '', 'g'), ',', '.')
    WHEN x IS NOT NULL THEN 'no number with a comma: ' || x END;
CREATE TEMP MACRO as_micros(n) AS
    CASE WHEN n >= 0 AND n < 9.2e12 THEN CAST(round(n * 1e6) AS BIGINT) END;
-- greatest and least pass over nulls, so that nothing would become the limit.
CREATE TEMP MACRO clipped(n, high) AS
    CASE WHEN n IS NOT NULL THEN greatest(least(n, high), 0) END;
-- What was wrong with a number, as `<column>.<reason>`, given what was made of it.
CREATE TEMP MACRO number_flaw(text, number, made, name) AS CASE
    WHEN text IS NULL OR made IS NOT NULL THEN NULL
    WHEN number IS NULL THEN name || '.not_a_number'
    ELSE name || '.out_of_range' END;

CREATE TEMP MACRO as_consent(x) AS CASE
    WHEN lower(trim(x)) IN ('yes', '1', 'true', 'granted') THEN 'granted'
    WHEN lower(trim(x)) IN ('no', '0', 'false', 'denied') THEN 'denied'
    END;

CREATE TEMP MACRO as_device(x) AS CASE
    WHEN known(x) IS NULL THEN NULL
    WHEN lower(trim(x)) IN ('desktop', 'mobile', 'tablet') THEN lower(trim(x))
    ELSE 'other' END;

-- '<Other>' is a medium too rare to be shown, hence some other one.
CREATE TEMP MACRO as_medium(x) AS CASE
    WHEN trim(x) IN ('<Other>', '(other)') THEN 'other'
    WHEN known(x) IS NULL THEN NULL
    WHEN lower(trim(x)) IN ('(none)', 'none', 'direct', '(direct)') THEN 'direct'
    WHEN lower(trim(x)) = 'organic' THEN 'organic'
    WHEN regexp_matches(lower(trim(x)), '^(cpc|ppc|sem|retargeting|paid.*)$') THEN 'paid'
    WHEN lower(trim(x)) = 'referral' THEN 'referral'
    WHEN regexp_matches(lower(trim(x)), '^(e[-_ ]?mail|newsletter)s?$') THEN 'email'
    WHEN regexp_matches(lower(trim(x)), '^(social([-_ ](network|media))?|sm)$') THEN 'social'
    WHEN regexp_matches(lower(trim(x)), '^affiliates?$') THEN 'affiliate'
    WHEN lower(trim(x)) IN ('display', 'cpm', 'banner', 'interstitial', 'expandable') THEN 'display'
    ELSE 'other' END;

-- Path of a page without host, query and fragment.
CREATE TEMP MACRO url_path(x) AS
    regexp_extract(regexp_replace(x, '^([a-zA-Z][a-zA-Z0-9+.-]*:)?//[^/?#]*', ''), '^[^?#]*');
CREATE TEMP MACRO as_page_id(x) AS
    '/' || trim(lower(COALESCE(TRY(url_decode(url_path(x))), url_path(x))), '/');

CREATE TEMP MACRO as_flag(x) AS CASE
    WHEN lower(trim(x)) IN ('true', 't', 'yes', 'y', '1') THEN true
    WHEN lower(trim(x)) IN ('false', 'f', 'no', 'n', '0') THEN false
    END;

-- What was wrong with a word that is neither true nor false, neither granted nor denied.
CREATE TEMP MACRO flag_flaw(x, name) AS
    CASE WHEN known(x) IS NOT NULL AND as_flag(x) IS NULL THEN name || '.not_a_flag' END;
CREATE TEMP MACRO consent_flaw(x, name) AS
    CASE WHEN known(x) IS NOT NULL AND as_consent(x) IS NULL THEN name || '.not_an_answer' END;

-- Items in three steps: texts as the source has them, numbers beside texts, canonical items.
CREATE TEMP MACRO item_numbers(texts) AS list_transform(texts, lambda i: {
    'item_id': unless_long(i.item_id),
    'id_flaw': CASE
        WHEN i.item_id IS NULL THEN 'items.missing_item_id'
        WHEN is_long(i.item_id) THEN 'items.item_id_too_long' END,
    'category_path': i.category_path,
    'brand': i.brand,
    'price': i.price,
    'price_number': as_number(i.price),
    'quantity': i.quantity,
    'quantity_number': as_number(i.quantity),
    'position': i.position,
    'position_number': as_number(i.position),
    'on_sale': as_flag(i.on_sale),
    'on_sale_flaw': flag_flaw(i.on_sale, 'items.on_sale')
});
CREATE TEMP MACRO numbered_items(numbers) AS list_filter(list_transform(numbers, lambda i: {
    'item_id': i.item_id,
    'category_path': CASE WHEN len(i.category_path) > 0
        THEN list_transform(i.category_path[1:5], lambda level: cut(level)) END,
    'brand': cut(i.brand),
    'price_micros': as_micros(i.price_number),
    'quantity': as_whole(i.quantity_number, 1, 1000000),
    'position': as_whole(i.position_number, 1, 100000),
    'on_sale': i.on_sale
}), lambda i: i.item_id IS NOT NULL);
CREATE TEMP MACRO flaws_of_items(numbers) AS list_transform(numbers, lambda i: CASE
    WHEN i.id_flaw IS NOT NULL THEN i.id_flaw
    ELSE concat_ws(' ',
        CASE WHEN is_long(i.brand) THEN 'items.brand.cut' END,
        CASE WHEN list_max(list_transform(i.category_path, lambda level: strlen(level))) > 256
            THEN 'items.category_path.cut' END,
        CASE WHEN len(i.category_path) > 5 THEN 'items.category_path.over_5' END,
        number_flaw(i.price, i.price_number, as_micros(i.price_number), 'items.price_micros'),
        number_flaw(
            i.quantity, i.quantity_number, as_whole(i.quantity_number, 1, 1000000), 'items.quantity'
        ),
        number_flaw(
            i.position, i.position_number, as_whole(i.position_number, 1, 100000), 'items.position'
        ),
        i.on_sale_flaw
    ) END);

-- What was wrong with a number that is clipped to 0 .. high.
CREATE TEMP MACRO clip_flaw(text, number, high, name) AS CASE
    WHEN text IS NULL OR number BETWEEN 0 AND high THEN NULL
    WHEN number IS NULL THEN name || '.not_a_number'
    ELSE name || '.clipped' END;

-- At most 32 entries by name; those without a value are left out.
CREATE TEMP MACRO as_attributes(entries) AS CASE
    WHEN len(list_filter(map_entries(entries), lambda e: known(e.value) IS NOT NULL)) > 0
    THEN map_from_entries(list_transform(
        list_sort(list_filter(map_entries(entries), lambda e: known(e.value) IS NOT NULL))[1:32],
        lambda e: {'key': cut(e.key), 'value': cut(known(e.value))}
    )) END;

-- ISO 8601 in microseconds since 1970: local time of the zone, unless an offset or the name of a
-- zone stands behind it. Anything else behind it (PM, CEST) would be passed over by the cast.
CREATE TEMP MACRO as_moment_us(x, zone) AS CASE
    WHEN regexp_full_match(
        trim(x), '\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?'
    ) THEN epoch_us(timezone(zone, TRY_CAST(trim(x) AS TIMESTAMP)))
    WHEN regexp_full_match(
        trim(x),
        '\d{4}[-/]\d{1,2}[-/]\d{1,2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*'
        || '([zZ]|UTC|GMT|[+-](0\d|1[0-4])(:?[0-5]\d)?|[A-Za-z]+/[A-Za-z_/+-]+)'
    ) THEN epoch_us(TRY_CAST(regexp_replace(trim(x), '\s+([+-])', '\1') AS TIMESTAMPTZ))
    END;
-- Times as text: as above with UTC, or seconds or milliseconds since 1970.
CREATE TEMP MACRO as_time_us(x) AS CASE
    WHEN regexp_full_match(trim(x), '\d{13}') THEN TRY_CAST(x AS BIGINT) * 1000
    WHEN regexp_full_match(trim(x), '\d{9,10}') THEN TRY_CAST(x AS BIGINT) * 1000000
    ELSE as_moment_us(x, 'UTC') END;

-- An id; what a program writes that has none, or that is a list or an object, is none.
CREATE TEMP MACRO as_id(x) AS CASE
    WHEN regexp_matches(known(x), '^[\[{]') THEN NULL
    WHEN lower(known(x)) IN (
        'null', 'undefined', 'none', 'nan', '00000000-0000-0000-0000-000000000000'
    ) THEN NULL
    ELSE known(x) END;

CREATE TEMP MACRO as_host(x) AS NULLIF(regexp_replace(lower(
    regexp_extract(x, '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)', 1)
), '^www\.', ''), '');

-- Levels of a category path in one text, broadest first.
CREATE TEMP MACRO as_levels(x) AS NULLIF(list_filter(
    list_transform(regexp_split_to_array(known(x), '[>/]'), lambda level: known(level)),
    lambda level: level IS NOT NULL
), []);

-- One purpose's answer from answers by category: a denial of any of its categories counts.
CREATE TEMP MACRO as_answer(consents, categories) AS CASE
    WHEN len(list_filter(
        consents, lambda c: list_contains(categories, c.category) AND c.answer = 'denied'
    )) > 0 THEN 'denied'
    WHEN len(list_filter(
        consents, lambda c: list_contains(categories, c.category) AND c.answer = 'granted'
    )) > 0 THEN 'granted' END;

-- The shop's day of a time in microseconds.
CREATE TEMP MACRO shop_day(us, zone) AS strftime(timezone(zone, make_timestamptz(us)), '%Y-%m-%d');
