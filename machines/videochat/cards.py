"""Users of the directory as the source's user simple."""

from engine.app.users import User
from machines.videochat import vocabulary as v


def card_of(user: User) -> v.UserCard:
    """User simple, as the directory has it now."""
    avatar = user.avatar3d
    return v.UserCard(
        id=user.id,
        first_name=user.first_name,
        last_name=user.last_name,
        privacy_mode=user.privacy_mode,
        avatar=user.avatar,
        avatar3d=None
        if avatar is None
        else v.AvatarCard(
            asset_id=avatar.asset_id,
            asset_skins=avatar.asset_skins,
            avatar_url=avatar.avatar_url,
            avatar_user_id=avatar.avatar_user_id,
        ),
        company_name=user.company_name,
        company_title=user.company_title,
    )
