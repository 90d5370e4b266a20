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
