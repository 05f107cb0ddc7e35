"""URLs of the pages about identity."""

from django.urls import path

from security.web import views

urlpatterns = [
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
]
