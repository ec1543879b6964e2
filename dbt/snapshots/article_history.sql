{% snapshot article_history %}

{{ config(
    schema='snapshots',
    unique_key=['tenant_id', 'article_number'],
    strategy='check',
    updated_at='_extracted_at',
    check_cols=['category_number', 'supplier_number', 'season_number', 'purchase_price', 'label_price', 'is_nos', 'is_active'],
) }}

with

-- The moment of a row may go back, when its number falls to an older record; that of the tenant's newest never does.
read_at as (
    select
        tenant_id,
        max(_extracted_at) as _extracted_at
    from {{ source('prohandel', 'prohandel_article') }}
    group by tenant_id
)

select
    articles.tenant_id,
    articles.article_number,
    articles.category_number,
    articles.supplier_number,
    articles.season_number,
    articles.purchase_price,
    articles.label_price,
    articles.is_nos,
    articles.is_active,
    read_at._extracted_at
from {{ ref('stg_prohandel__articles') }} as articles
inner join read_at
    on articles.tenant_id = read_at.tenant_id

{% endsnapshot %}
