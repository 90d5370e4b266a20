-- The canonical events of one day, in arrival order.
WITH viewed AS (
    -- Where rules say nothing, the views of products on a page tell what it is: a product's own page
    -- reports none or one, a list reports many. Enough visitors must say so, for else the type of a
    -- page would tell what a single visitor is going to do on it.
    SELECT
        page_id,
        CASE WHEN count(*) FILTER (items_viewed > 1) > count(*) FILTER (items_viewed <= 1)
            THEN 'list' ELSE 'item' END AS page_type
    FROM $rows
    WHERE items_viewed IS NOT NULL AND page_id IS NOT NULL
    GROUP BY page_id
    HAVING count(DISTINCT anonymous_id) >= $page_visitors
),

pages AS (
    SELECT page_id, page_title, $page_type AS page_type
    FROM (SELECT DISTINCT page_id, page_title FROM $rows)
)

SELECT
    events.* EXCLUDE (
        file_no, row_no, day, tie_rank, dropped, cleaned, items_viewed, stated_page_type
    ),
    places.source_seq,
    CASE
        WHEN events.stated_page_type IS NOT NULL THEN events.stated_page_type
        WHEN events.page_id IS NULL AND events.page_title IS NULL THEN NULL
        WHEN pages.page_type IS NOT NULL THEN pages.page_type
        WHEN places.shows_item THEN 'item'
        WHEN places.shows_list THEN 'list'
        ELSE COALESCE(viewed.page_type, 'other')
    END AS page_type
FROM $rows AS events
JOIN day_places AS places USING (file_no, row_no)
LEFT JOIN pages
    ON events.page_id IS NOT DISTINCT FROM pages.page_id
    AND events.page_title IS NOT DISTINCT FROM pages.page_title
LEFT JOIN viewed ON events.page_id = viewed.page_id
WHERE places.merged IS NULL
ORDER BY events.event_time, events.session_id, places.source_seq
