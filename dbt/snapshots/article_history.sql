{% snapshot article_history %}

{{ config(
    schema='snapshots',
    unique_key=['tenant_id', 'article_number'],
    strategy='check',
    updated_at='_extracted_at',
    check_cols=['category_number', 'supplier_number', 'season_number', 'purchase_price', 'label_price', 'is_nos', 'is_active'],
) }}

select
    tenant_id,
    article_number,
    category_number,
    supplier_number,
    season_number,
    purchase_price,
    label_price,
    is_nos,
    is_active,
    _extracted_at
from {{ ref('stg_prohandel__articles') }}

{% endsnapshot %}
