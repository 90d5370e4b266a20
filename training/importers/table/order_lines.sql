-- One row per line of an order table, with what the later steps need: who, which order, when, what,
-- whether it takes something back (is_refund) or is no product (is_charge), and why it is dropped.
WITH raw AS (
    SELECT
        $file_no AS file_no,
        $row_no AS row_no,
        $order_id AS order_id,
        $customer_id AS customer_id,
        $time AS event_time,
        $item_id AS item_id,
        $quantity AS quantity_text,
        $price AS price_text,
        upper(trim($currency)) AS currency_text,
        $category AS category_path,
        $brand AS brand,
        $on_sale AS on_sale,
        $original_order_id AS original_order_id,
        $attributes AS attributes,
        $rule_dropped AS rule_dropped
    FROM $source
),

parsed AS (
    SELECT
        *,
        as_number(quantity_text) AS quantity,
        as_number(price_text) AS price,
        COALESCE(regexp_full_match(currency_text, '[A-Z]{3}'), false) AS has_currency,
        COALESCE(regexp_matches(order_id, $refund_pattern), false) AS is_cancelled,
        COALESCE(regexp_matches(item_id, $charge_pattern), false) AS is_charge
    FROM raw
),

signed AS (
    SELECT
        *,
        -- A charge below zero in an order that stands is a discount.
        is_cancelled OR ($negative_refunds AND quantity < 0 AND NOT is_charge) AS is_refund,
        as_micros(abs(price)) AS size_micros
    FROM parsed
)

SELECT
    file_no,
    row_no,
    -- What must be equal in lines that repeat each other, however the files write it.
    md5(concat_ws(
        chr(31), order_id, COALESCE(customer_id, ''), event_time, item_id, quantity, price,
        COALESCE(currency_text, ''), COALESCE(CAST(category_path AS VARCHAR), ''),
        COALESCE(brand, ''), COALESCE(on_sale, ''), COALESCE(original_order_id, ''),
        COALESCE(CAST(attributes AS VARCHAR), '')
    )) AS content,
    order_id,
    customer_id,
    event_time,
    item_id,
    CASE WHEN is_refund THEN abs(quantity) ELSE quantity END AS quantity,
    CASE WHEN price < 0 THEN -size_micros ELSE size_micros END AS price_micros,
    CASE WHEN has_currency THEN currency_text END AS currency,
    CASE WHEN len(category_path) > 0
        THEN list_transform(category_path[1:5], lambda level: cut(level)) END AS category_path,
    cut(brand) AS brand,
    as_flag(on_sale) AS on_sale,
    original_order_id,
    as_attributes(attributes) AS attributes,
    is_refund,
    is_charge,
    concat_ws(' ',
        CASE WHEN currency_text IS NOT NULL AND NOT has_currency
            THEN 'currency.not_a_currency' END,
        CASE WHEN is_long(brand) THEN 'items.brand.cut' END,
        CASE WHEN list_max(list_transform(category_path, lambda level: strlen(level))) > 256
            THEN 'items.category_path.cut' END,
        CASE WHEN len(category_path) > 5 THEN 'items.category_path.over_5' END,
        CASE WHEN quantity <> floor(quantity) THEN 'items.quantity.not_whole' END,
        CASE WHEN list_max(list_transform(map_values(attributes), lambda text: strlen(text))) > 256
            THEN 'attributes.cut' END
    ) AS cleaned,
    CASE
        WHEN order_id IS NULL THEN 'missing_order_id'
        WHEN is_long(order_id) THEN 'order_id_too_long'
        WHEN event_time IS NULL THEN 'missing_time'
        WHEN event_time NOT BETWEEN $first_time AND $last_time THEN 'time_out_of_range'
        WHEN customer_id IS NULL AND NOT $keeps_guests THEN 'missing_customer'
        WHEN is_long(customer_id) THEN 'customer_id_too_long'
        WHEN strlen(COALESCE(customer_id, 'guest')) + strlen(order_id) + 1 > 256
            THEN 'session_id_too_long'
        WHEN rule_dropped IS NOT NULL THEN rule_dropped
        WHEN item_id IS NULL THEN 'missing_item_id'
        WHEN is_long(item_id) THEN 'item_id_too_long'
        WHEN quantity_text IS NULL THEN 'missing_quantity'
        WHEN quantity IS NULL THEN 'quantity_not_a_number'
        WHEN quantity = 0 THEN 'zero_quantity'
        WHEN abs(quantity) > 1000000 THEN 'quantity_out_of_range'
        WHEN quantity < 0 AND NOT is_refund AND NOT is_charge THEN 'negative_quantity'
        WHEN price_text IS NULL THEN 'missing_price'
        WHEN price IS NULL THEN 'price_not_a_number'
        WHEN price < 0 AND NOT is_charge THEN 'negative_price'
        WHEN size_micros IS NULL OR size_micros > 1000000000000000 THEN 'price_out_of_range'
    END AS dropped
FROM signed
